/* label_scores: how well labels, or numbers, that were said of rows are those that the rows have; scikit-learn's and
 * SciPy's numbers, each with its error.
 *
 *     accuracy     the share of rows whose label was said; of several labels a row: all of them and no other
 *                  (scikit-learn's subset accuracy)
 *     precision    of a label: of the rows of which it was said the share that has it; 0 where there are none
 *     recall       of the rows that have it the share of which it was said; 0 where there are none
 *     F1           2·tp / (rows that have it + rows of which it was said)
 *     macro F1     the mean over the labels that some row has or that was said of one; of several labels a row over all
 *     micro F1     of several labels a row: F1 of all rows' labels together
 *     MCC          Matthews' correlation of several classes (Gorodkin 2004); 0 where all rows, or all that was said,
 *                  are one class
 *     Pearson, Spearman: of ranks, equal numbers share the mean of theirs; NAN where one side is constant
 *
 * Errors: of shares as statistics.h has them. F1 and MCC are smooth functions of the counts, so theirs follow from
 * how each row moves them: stderr² = n/(n − 1)·Σ (∂T/∂row)², the interval ± 1.96 of it. Correlations have
 * Fisher's z: atanh r ± 1.96·√(c/(n − 3)), c = 1 for Pearson's, 1 + r²/2 for Spearman's (Bonett & Wright
 * 2000). */
#ifndef EVAL_LABEL_SCORES_H
#define EVAL_LABEL_SCORES_H

#include <stdint.h>

#include "eval/statistics.h"

enum { CONFUSION_LABELS = 256 };  /* more of them have no matrix */

struct label_score {
	struct estimate precision, recall, f1;
	size_t rows, said, hits;       /* that have it; of which it was said; both */
};

struct label_scores {
	int n;                         /* labels */
	size_t rows;
	struct label_score *each;      /* [n]; NULL of numbers */
	size_t *confusion;             /* [label of the row][what was said], of one label a row; or NULL */
	/* n is 0 of what there is none of */
	struct estimate accuracy, macro_f1, micro_f1, mcc;
	struct estimate mse, rmse, mae, pearson, spearman;
};

/* One label a row, from 0 to n − 1. */
void label_scores_single(struct label_scores *s, int n, const int32_t *has, const int32_t *said, size_t rows);
/* Any of n labels a row: [rows][n] of 0 and 1. */
void label_scores_multi(struct label_scores *s, int n, const uint8_t *has, const uint8_t *said, size_t rows);
void label_scores_numbers(struct label_scores *s, const double *has, const double *said, size_t rows);
void label_scores_release(struct label_scores *s);

#endif
