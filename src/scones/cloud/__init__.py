"""The local AWS: knows botocore's service models, and nothing of what anyone does with them."""
