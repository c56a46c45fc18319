"""What a model can really do here, measured: `calibrating` runs it, `outcome` says what came out.

What is known afterwards lies in `localrag/llm/calibration.py`, which routing reads.
"""
