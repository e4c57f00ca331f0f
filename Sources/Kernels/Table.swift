import KernelInterface

/// The kernels of the instruction set that this module is compiled for.
public func kernelTable() -> KernelTable {
  KernelTable(
    name: instructionSetName,
    vectorWidth: lanes,
    panelWidth: panelColumns,
    pairsBrainFloats: pairsBrainFloats,
    rowTile: 1,
    outerProductScratch: outerProductScratch,
    product: product,
    outerProduct: outerProduct,
    lstmStep: lstmStep,
    lstmForward: lstmForward,
    lstmBackward: lstmBackward,
    gruForward: gruForward,
    gruBackward: gruBackward,
    activate: activate,
    activateBackward: activateBackward,
    addScaled: addScaled,
    scale: scale,
    multiplyAdd: multiplyAdd,
    sumOfSquares: sumOfSquares,
    addColumnSums: addColumnSums
  )
}
