/* rung_probe: logistic regression on the frozen model's state after what is asked, of the layer that is best in
 * cross-validation (PALP: Cho et al. 2022). One forward a row, no backward; at tens of rows often better than anything
 * that is tuned. */
#include "ladder/learnt.h"

static int price(struct ladder *l, struct rung_price *p, struct err *e) { return learnt_state_price(l, 1, p, e); }

RUNG_LEARNT(probe, LEARNER_PROBE, .name = "probe", .summary = "logistic regression on the frozen model's states",
            .order = 20, .fits = learnt_fits);
