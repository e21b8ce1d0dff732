"""Choose the deployment for each request and decide what follows its end; pure."""
