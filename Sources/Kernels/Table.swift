// Arithmetic of one instruction set.
