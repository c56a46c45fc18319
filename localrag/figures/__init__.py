"""The figures of tables: their labels, their periods, and the formulas that questions ask for."""
