/* topk: the k largest of n numbers, ties decided as torch.topk decides them on a processor. It lets the C++ library
 * (libstdc++) put pairs of number and index in order, larger first: where 64·k ≤ n by a heap of the first k into
 * which later ones are let that are larger than its smallest, else by quickselect with the median of the second, the
 * middle and the last as pivot. Which of equal numbers end up among the first k follows from those steps, so they are
 * taken here one by one. NaN is larger than every number. */
#ifndef OP_TOPK_H
#define OP_TOPK_H

#include <stddef.h>
#include <stdint.h>

enum { TOPK_MOST = 1024 };   /* numbers */

/* out: the indices of the k, ascending; 1 ≤ k ≤ n ≤ TOPK_MOST */
void topk(const float *z, size_t n, size_t k, int32_t *out);

#endif
