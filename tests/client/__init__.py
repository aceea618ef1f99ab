"""The gateway client against a gateway that says what the test wants it to say."""
