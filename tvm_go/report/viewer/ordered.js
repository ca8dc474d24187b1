// Finds places in ordered arrays by halving.

/** The first place in an array whose key is not before a number; the keys ascend. */
function lowerBound(array, number, key = (one) => one) {
  let low = 0, high = array.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(array[middle]) < number) low = middle + 1;
    else high = middle;
  }
  return low;
}
