"""`e5 serve`: a model folder behind HTTP, for clients of OpenAI and of text-embeddings-inference.

    server      the process: socket, signals, workers
      app       routes, and what every request passes on the way in
        openai_api, tei_api, status_api     one module a dialect
          embedding     texts to a ticket, a ticket to vectors
            queue, dispatcher    which texts of which requests run together

Nothing else in e5_onnx imports this package; it needs the extra `[serve]`.
"""
