-- Captured records lie in files beside the state, one for each row of sagemaker_capture_files.
DROP TABLE sagemaker_captures;
