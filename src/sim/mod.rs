//! Simulated Gladly and Gleen.
