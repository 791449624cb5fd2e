"""What a host is, and how its cores are shared out among workers. Text and values in, values out."""
