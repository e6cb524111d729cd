"""What the platform is asked to do on behalf of a viewer. The gateway never writes to the platform's tables itself."""
