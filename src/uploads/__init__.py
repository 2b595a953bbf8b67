"""The uploads API: hands out presigned URLs, so that large content goes straight to S3 and back."""
