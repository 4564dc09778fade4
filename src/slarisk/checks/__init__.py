"""Method checks (SR001, ...): what makes a result too good to be true, or too weak to rest on."""
