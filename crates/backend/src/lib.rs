//! Devices, and the heavy operations of Firebrand's models.
