"""What a person runs. It speaks boto3 and never asks whether the AWS it meets is local."""
