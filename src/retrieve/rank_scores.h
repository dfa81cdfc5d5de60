/* rank_scores: how good a ranked list is, by what is relevant (as trec_eval, which BEIR uses, has them):
 *
 *     DCG@k      Σ gain_i / log2(i + 1) over ranks i = 1 … k, gain the relevance of what stands there, 0 of others
 *     nDCG@k     DCG@k / that of the best order there is
 *     recall@k   relevant ones among the first k / all relevant ones
 *     MRR@k      1 / rank of the first relevant one among the first k, 0: there is none */
#ifndef RETRIEVE_RANK_SCORES_H
#define RETRIEVE_RANK_SCORES_H

#include <stddef.h>

/* found[n]: relevance of what stands at each rank, ≤ 0: none. ideal[m]: all that is relevant, in any order. */
double rank_ndcg(const double *found, size_t n, const double *ideal, size_t m, size_t k);
double rank_recall(const double *found, size_t n, const double *ideal, size_t m, size_t k);
double rank_mrr(const double *found, size_t n, size_t k);

#endif
