/* rung_knn: what the rows answer that are nearest to a row, by the angle between the frozen model's states. */
#include "ladder/learnt.h"

static int price(struct ladder *l, struct rung_price *p, struct err *e) { return learnt_state_price(l, 0.01, p, e); }

RUNG_LEARNT(knn, LEARNER_KNN, .name = "knn", .summary = "what the rows have whose states are nearest", .order = 21,
            .fits = learnt_fits, .near = "probe");
