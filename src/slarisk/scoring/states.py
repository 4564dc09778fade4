"""The states of a ticket at the moment of scoring, as the export names them."""

OPEN, PAST_TARGET, CLOSED = STATES = ("open", "past_target", "closed")
