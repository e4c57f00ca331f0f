// C ABI.
