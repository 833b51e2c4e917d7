"""What a person takes home: merged and quantized models, verified, in a folder ready to copy."""
