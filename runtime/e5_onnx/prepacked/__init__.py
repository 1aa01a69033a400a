"""An optional cache, on this machine, of weights in the layout of its kernels.

onnxruntime copies every weight into its kernel's own layout when a graph is loaded: a heap of hundreds of
megabytes for each process, made again at each start. The cache keeps the copies in a file that is mapped
instead, so that the heap stays small and all processes share one copy. What is in it fits one CPU and one
onnxruntime and is never to be shipped.
"""
