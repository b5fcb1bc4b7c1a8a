"""raytrainer tunes Ultralytics YOLO and RT-DETR models on a Ray cluster."""
