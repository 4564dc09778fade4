"""The clock on a real event log, against one that looks at every second."""

import numpy as np
import pandas as pd
import pytest

from slarisk.exports.read import read_fields
from slarisk.tickets.prepare import prepare_tickets

WAITING = ["Awaiting User Info", "Awaiting Vendor", "Awaiting Problem", "Awaiting Evidence"]


@pytest.mark.real_data
@pytest.mark.slow
def test_labels_of_servicenow_are_those_of_looking_at_every_second(
    composed, real_data, worked_seconds
):
    config = composed(
        "data=servicenow",
        f"data.path={real_data('incident_event_log.zip')}",
        "data.timezone=America/New_York",
        "data.label.kind=target",
        "clock=critical_always",
        "sla.clock.holidays=[{country: US}]",
        f"sla.pause.statuses=[{','.join(WAITING)}]",
        "sla.pause.changed_at=updated_at",
    )
    frame = prepare_tickets(config.data, config.sla, config.cost).frame
    frame = frame[frame["resolved_at"].notna()]

    # what waits in the log itself, read in another way
    fields = read_fields(config.data, ["ticket_id", "mod_count", "updated_at", "status"]).frame
    fields["order"] = fields["mod_count"].astype(int)
    fields["at"] = pd.to_datetime(fields["updated_at"], format="%d/%m/%Y %H:%M").dt.tz_localize(
        "America/New_York", ambiguous=True, nonexistent="shift_forward"
    )
    fields["second"] = fields["at"].dt.tz_convert("UTC").dt.as_unit("s").astype("int64")
    fields = fields.sort_values(["ticket_id", "order"], kind="stable")
    events = {key: part for key, part in fields.groupby("ticket_id")[["second", "status"]]}

    created, resolved = (
        frame[name].to_numpy().astype("datetime64[s]").astype(np.int64)
        for name in ("created_at", "resolved_at")
    )
    first = int(created.min() // 86_400 * 86_400)
    last = int(resolved.max()) + 3600
    zone = "America/New_York"
    office, always = config.sla.clock, config.sla.clock.priorities["Critical"]
    office.timezone = zone
    desks = {False: office, True: always}
    seconds = {key: worked_seconds(desk, first, last) for key, desk in desks.items()}
    wrong = 0
    critical = (frame["priority"] == "Critical").to_numpy()
    for place, ticket in enumerate(frame["ticket_id"]):
        begin, end = created[place], resolved[place]
        mine = seconds[bool(critical[place])][begin - first : end - first].copy()
        moments, statuses = events[ticket]["second"].to_numpy(), events[ticket]["status"].to_numpy()
        for number in np.flatnonzero(np.isin(statuses, WAITING)):
            until = moments[number + 1] if number + 1 < len(moments) else end
            mine[max(moments[number] - begin, 0) : max(until - begin, 0)] = False
        hours = np.count_nonzero(mine) / 3600
        wrong += hours != frame["resolution_hours"].iloc[place]
        wrong += (hours > frame["sla_target_hours"].iloc[place]) != frame["breach"].iloc[place]
    assert len(frame) > 20_000
    assert wrong == 0
