"""Text to normalised vectors on a CPU, from a model folder that e5-export made.

    from e5_onnx import Embedder

    with Embedder("my-e5") as model:
        vectors = model.embed_documents(["Paris is the capital of France."])
"""
