"""slarisk: which tickets will breach their SLA, and which are worth acting on."""
