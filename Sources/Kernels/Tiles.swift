/// Tiles of nearly equal heights, since a last tile of one row would wait for its own sums: the first `taller` have
/// one row more than the others.
struct Tiles {
  let count: Int
  private let height: Int
  private let taller: Int

  /// Of some rows, at most `most` each.
  @inline(always) init(_ rows: Int, most: Int = tileRows) {
    count = (rows + most - 1) / most
    height = count > 0 ? rows / count : 0
    taller = rows - count * height
  }

  @inline(always) func height(_ tile: Int) -> Int { tile < taller ? height + 1 : height }

  /// The first row of a tile.
  @inline(always) func start(_ tile: Int) -> Int {
    tile * height + (tile < taller ? tile : taller)
  }
}
