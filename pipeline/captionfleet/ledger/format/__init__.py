"""What a line of the output holds, and what names its request; pure (main process)."""
