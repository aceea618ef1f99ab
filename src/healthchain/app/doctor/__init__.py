"""What is wrong with a network, in words and with the remedy: `examination.examine` asks, the other files judge."""
