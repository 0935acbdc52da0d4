"""Commands for the shell, one file each; nothing imports them."""
