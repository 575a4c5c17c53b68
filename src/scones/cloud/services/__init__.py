"""The AWS services, one file or package each; none imports another."""
