"""Jobs: commands that outlive the request that started them."""
