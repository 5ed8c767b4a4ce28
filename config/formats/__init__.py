"""How the admin prints times: ISO order, to the second, in UTC."""
