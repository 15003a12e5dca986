"""The benchmarks run, with numbers too small to measure anything by; what they count exactly is checked."""
