/* gptq: rows as blocks, where each number is rounded with what the numbers before it err already in mind, so that the
 * sum that the row is for errs least (Frantar et al. 2023, GPTQ; in the form of Chee et al. 2023, QuIP):
 *
 *     H = Σ x·xᵀ = U·D·Uᵀ       of what the matrix is multiplied with; U upper, with ones on its diagonal
 *     t_j = w_j + Σ_{i<j} e_i·U_ij,   q_j = the type's nearest to t_j,   e_j = w_j − q_j
 *     (Σ_k e_k x_k)² over all x  =  e·H·eᵀ  =  Σ_j D_j·(t_j − q_j)²
 *
 * The file's own encoder chooses a block's scales, weighing the number j by D_j, for the t of the block as they are
 * when it begins, and for these larger or smaller by a few percent; kept are the scales by which the block comes to
 * the least of the sum above. So any type whose integers stand apart (quant/codes.h) is served, and the file is like
 * any other of its type. A row's bits depend on the row and H alone. */
#ifndef QUANT_GPTQ_H
#define QUANT_GPTQ_H

#include "base/pool.h"
#include "tensor/dtype.h"

/* h [n][n], symmetric, of which the upper half is read, becomes U above its diagonal and D on it. First is added there
 * a share of its mean: columns to rows that h is the sum of, 0.01 (percdamp) at least, which keeps what few rows have
 * shown from being trusted. Behind the first three blocks of SmolLM2 at Q4_0, rows of texts that nothing was made by
 * err 6, 2 and 30 % less with 0.11 than with 0.01 where they were made by 16,384 rows, behind the first 20 % and more
 * by 4,096; of a small model of 192 columns, by 10,000 rows, 0.1 is worse. −1: interrupted. */
int gptq_factor(struct pool *p, float *h, size_t n, size_t rows, struct err *e);
double gptq_damp(size_t n, size_t rows);    /* that share */

/* Whether such rows may be of that type. */
bool gptq_writes(enum dtype t);
/* n rows x [n][cols] into out, one after the other. factors: [cols][cols] as gptq_factor leaves them; scratch:
 * gptq_scratch() bytes, aligned as floats are. The rows are finite. */
void gptq_rows(enum dtype t, const float *x, size_t n, size_t cols, const float *factors, void *scratch, void *out);
size_t gptq_scratch(size_t n, size_t cols);

#endif
