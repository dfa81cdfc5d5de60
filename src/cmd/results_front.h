/* results_front: evaluations beside each other: a point each by two of their scores, and which of them nothing beats.
 * */
#ifndef CMD_RESULTS_FRONT_H
#define CMD_RESULTS_FRONT_H

#include "cmd/command.h"

struct results_front {
	const char *scores;            /* "task/metric,task/metric[,…]" */
	const char *out;               /* a picture as SVG, or NULL: drawn in the terminal */
	int columns, rows;             /* of the terminal's; 0: what suits */
};

/* paths: folders of eval's --output-path, or their results_TIME.json. */
int results_front(struct app *app, const struct results_front *o, const char *const *paths, size_t n, struct err *e);

#endif
