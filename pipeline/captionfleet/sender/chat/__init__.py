"""Write chat-completions requests and read their answers; pure."""
