"""One script for each measured claim of the README."""
