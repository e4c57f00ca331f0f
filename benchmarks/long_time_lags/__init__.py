"""The long-time-lag experiments of the LSTM papers: scripts/long-time-lags."""
