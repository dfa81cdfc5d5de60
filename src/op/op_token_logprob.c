/* token_logprob: head and loss in one op: logp[p] = log softmax(z_r)[token_p] for every label p of target row r.
 *
 *     y = scale·x·Wᵀ + Σ u·Uᵀ + bias      z = y, or cap·tanh(y/cap)
 *     x (R,C) target rows      W (V,C) any dtype      u (R,k), U (V,k) what overlays add      bias (V)      logp (M)
 *
 * Never more logits are there than a tile a thread, or, where the head is trained, a block of rows. A tile meets the
 * nearest caches three times: as logits, as e = exp(z − t) with t the largest yet, and as a factor of the gradient.
 * Since the weights w_p of labels are data, the loss −Σ_p w_p·logp_p has its gradient while the tile is there, but
 * for a factor of the row, which is known when all ranges are:
 *
 *     P_r = Σ_{v of the range} e_rv·W_v, brought to a later tile's t by exp(t_old − t)
 *     m = max t; L_r = Σ exp(t − m)·Σ e; logp_p = (z_token − m) − log L
 *     (in double, tiles and ranges in order)
 *     G_rv = d loss/d z_rv = (Σ_{p of r} w_p)·exp(z_rv − m)/L_r − Σ_{p of r, token_p = v} w_p
 *     dx_r = scale·Σ_v G_rv·W_v, from P        (attention's way, with W as keys and values)
 *     dW_v (+)= scale·Σ_r G_rv·x_r, from the block's e, which are kept then        (only where the head is trained)
 *     du_r, dU_v likewise from U and u        dbias_v (+)= Σ_r G_rv
 *
 * A z-loss (de Brébisson & Vincent 2016; PaLM's) is added on wish, which keeps Z_r = m + log L_r near 0:
 *
 *     loss = Σ_p w_p·(λ·Z_r² − logp_p)      G_rv = (1 + 2λ·Z_r)·(Σ_p w_p)·exp(z_rv − m)/L_r − Σ w_p
 *
 * logp is as it was; m and L (R,2) are an output then, from which the loss has its second part.
 *
 * 4·C·V FLOPs a row and 2·C·V more with dW, against 6·C·V if the logits were rebuilt in backward. So the
 * gradients are outputs of the forward node; backward only hands dx and du over, and what arrives from above is not
 * asked for: this op starts the gradient. A loss of another form stands on op_token_logprob_from_above.c. The walk
 * itself is logprob.c's. */
#include "op/logprob.h"

static bool keeps_block(const struct node *n)
{
	bool keeps = n->out[OUT_DBIAS];

	for (int i = 0; i < LOGPROB_FACTORS; i++)
		keeps |= n->out[OUT_DW + 2 * i] != TENSOR_NONE;
	return keeps;
}

static int shape(struct tape *t, struct node *n, struct err *e)
{
	struct logprob_attr *attr = (struct logprob_attr *)n->attr; /* the tape's copy, ours to complete */

	if (logprob_check(t, n, e) < 0)
		return -1;
	tape_output(t, n, OUT_LOGP, "logprob", AXIS_LABELS, 1, (size_t[]){ (size_t)t->cap.labels });
	if (attr->z_loss > 0)
		tape_output(t, n, OUT_STAT, "logprob_stat", tape_tensor(t, n->in[IN_X])->axis, 2,
		            (size_t[]){ tape_tensor(t, n->in[IN_X])->dim[0], 2 });
	logprob_gradients(t, n, n, attr);
	logprob_block(t, n, n, keeps_block(n), 0);
	return 0;
}

static void forward(struct run *r, const struct node *n)
{
	struct logprob w = logprob_of(r, n, keeps_block(n), 0);

	w.own = run_f32(r, n->out[OUT_LOGP]);
	w.stat = run_f32(r, n->out[OUT_STAT]);
	logprob_forward(&w);
}

static void backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];

	logprob_pass(t, &n, &n);
}

static uint32_t sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	float cap;
	struct linear l = logprob_sample(t, b, rng, i, &cap);

	return op_token_logprob(t, &l, cap);
}

const struct op op_row_token_logprob = {
	.name = "token_logprob",
	.shape = shape,
	.cost = logprob_cost,
	.forward = forward,
	.backward = backward,
	.saves = LOGPROB_SAVES_D_ROWS,
	.starts_gradient = true,
	.scratch = logprob_scratch,
	.int8 = logprob_int8,
	.in_f32 = logprob_in_f32,
	.sample = sample,
	.sample_count = LOGPROB_SAMPLES,
};

uint32_t op_token_logprob_z(struct tape *t, const struct linear *l, float cap, float z_loss, uint32_t *stat)
{
	struct logprob_attr attr = logprob_attr_of(l, cap);
	uint32_t in[N_IN];

	attr.z_loss = z_loss;
	logprob_inputs(t, l, in);
	uint32_t logp = tape_record(t, &op_row_token_logprob, in, N_IN, &attr, sizeof(attr));
	*stat = logp ? t->nodes[tape_tensor(t, logp)->producer - 1].out[OUT_STAT] : TENSOR_NONE;
	return logp;
}

uint32_t op_token_logprob(struct tape *t, const struct linear *l, float cap)
{
	uint32_t stat;

	return op_token_logprob_z(t, l, cap, 0, &stat);
}
