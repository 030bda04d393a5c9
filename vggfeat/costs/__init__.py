"""What a job will take: hours, bytes and money, from rates that are measured, given or assumed."""
