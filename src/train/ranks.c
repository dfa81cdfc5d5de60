/* ranks: what several messages make together: a part from everyone to everyone, an order, an agreement. A rank sends
 * its part to each of the others directly: as many bytes as in a ring, in one hop. */
#include "train/ranks.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

void ranks_init(struct ranks *r)
{
	r->spare = mem_array(2 * (size_t)r->size, sizeof(*r->spare));
}

void ranks_begin(struct ranks *r, struct rank_transfer *x, bool receives, int peer, int tag, void *data,
                 size_t bytes)
{
	if (peer == r->rank || peer < 0 || peer >= r->size)
		BUG("rank %d of %d has a message for rank %d", r->rank, r->size, peer);
	*x = (struct rank_transfer){ .peer = peer, .tag = tag, .receives = receives, .data = data, .bytes = bytes };
	if (!bytes)
		return;
	*(receives ? &r->received : &r->sent) += (double)bytes;
	r->row->begin(r, x);
}

int ranks_wait(struct ranks *r, struct rank_transfer *x, struct err *e)
{
	double begin = clock_seconds();

	if (!x->bytes)
		return 0;
	r->failed |= r->row->wait(r, x, e) < 0;
	r->waited += clock_seconds() - begin;
	return r->failed ? -1 : 0;
}

static int wait_all(struct ranks *r, size_t n, struct err *e)
{
	int status = 0;

	for (size_t i = 0; i < n && !status; i++)
		status = ranks_wait(r, &r->spare[i], e);
	return status;
}

int ranks_gather(struct ranks *r, int tag, void *data, const size_t *at, struct err *e)
{
	char *bytes = data;
	size_t n = 0;

	for (int k = 0; k < r->size; k++)
		if (k != r->rank)
			ranks_begin(r, &r->spare[n++], true, k, tag, bytes + at[k], at[k + 1] - at[k]);
	for (int k = 0; k < r->size; k++)
		if (k != r->rank)
			ranks_begin(r, &r->spare[n++], false, k, tag, bytes + at[r->rank],
			            at[r->rank + 1] - at[r->rank]);
	return wait_all(r, n, e);
}

int ranks_order(struct ranks *r, enum ranks_what what, int64_t number, const char *text, struct err *e)
{
	size_t n = 0;

	r->order = (struct ranks_order){ .what = what, .number = number };
	snprintf(r->order.text, sizeof(r->order.text), "%s", text ? text : "");
	if (text && strlen(text) >= sizeof(r->order.text))
		return err_set(e, "%.80s…: a path of more than %d bytes", text, RANKS_TEXT - 1);
	for (int k = 1; k < r->size; k++)
		ranks_begin(r, &r->spare[n++], false, k, RANKS_TAG_ORDER, &r->order, sizeof(r->order));
	return wait_all(r, n, e);
}

int ranks_next(struct ranks *r, struct err *e)
{
	ranks_begin(r, &r->spare[0], true, 0, RANKS_TAG_ORDER, &r->order, sizeof(r->order));
	if (ranks_wait(r, &r->spare[0], e) < 0)
		return -1;
	r->order.text[RANKS_TEXT - 1] = '\0';
	r->over = r->order.what == RANKS_END;
	return 0;
}

/* The text that the order at hand has with it, from rank 0 to the others. */
static int pass_text(struct ranks *r, size_t n, char **text, struct err *e)
{
	size_t count = r->rank ? 1 : (size_t)r->size - 1;

	if (r->rank)
		*text = mem_alloc(n + 1);
	for (size_t k = 0; k < count; k++)
		ranks_begin(r, &r->spare[k], r->rank > 0, r->rank ? 0 : (int)k + 1, RANKS_TAG_ORDER, *text, n);
	return wait_all(r, count, e);
}

int ranks_text_next(struct ranks *r, char **text, struct err *e)
{
	return pass_text(r, (size_t)r->order.number, text, e);
}

int ranks_text(struct ranks *r, enum ranks_what what, char **text, struct err *e)
{
	if (!r->rank) {
		size_t n = strlen(*text);
		return ranks_order(r, what, (int64_t)n, NULL, e) < 0 ? -1 : pass_text(r, n, text, e);
	}
	*text = NULL;
	if (ranks_next(r, e) < 0)
		return -1;
	return r->order.what == (int64_t)what ? ranks_text_next(r, text, e) : err_set(e, "rank 0 has ended");
}

static int follow_verdict(struct ranks *r, int status, const char *said, struct err *e)
{
	r->answer = (struct ranks_order){ .number = status };
	snprintf(r->answer.text, sizeof(r->answer.text), "%s", status < 0 ? e->msg : said ? said : "");
	ranks_begin(r, &r->spare[1], false, 0, RANKS_TAG_ANSWER, &r->answer, sizeof(r->answer));
	if (ranks_next(r, e) < 0)
		return -1;
	if (r->over) /* and does not listen any more */
		return err_set(e, "rank 0 has ended");
	if (ranks_wait(r, &r->spare[1], e) < 0)
		return -1;
	return r->order.number < 0 ? err_set(e, "%.1000s", r->order.text) : 0;
}

int ranks_agree(struct ranks *r, int status, char (*said)[RANKS_TEXT], struct err *e)
{
	struct err first = ERR_INIT;
	bool failed = status < 0;

	if (!ranks_several(r))
		return status;
	if (r->failed)
		return -1;
	if (r->rank)
		return follow_verdict(r, status, said ? said[0] : NULL, e);
	if (failed)
		first = *e;
	for (int k = 1; k < r->size; k++) {
		ranks_begin(r, &r->spare[0], true, k, RANKS_TAG_ANSWER, &r->order, sizeof(r->order));
		if (ranks_wait(r, &r->spare[0], e) < 0)
			return -1;
		r->order.text[RANKS_TEXT - 1] = '\0';
		if (r->order.number < 0 && !failed)
			err_set(&first, "rank %d: %.1000s", k, r->order.text);
		failed |= r->order.number < 0;
		if (said)
			memcpy(said[k], r->order.text, RANKS_TEXT);
	}
	if (ranks_order(r, RANKS_VERDICT, failed ? -1 : 0, first.msg, e) < 0)
		return -1;
	return failed ? err_set(e, "%s", first.msg) : 0;
}

int ranks_ask(struct ranks *r, char (*said)[RANKS_TEXT], struct err *e)
{
	return ranks_order(r, RANKS_TELL, 0, NULL, e) < 0 ? -1 : ranks_agree(r, 0, said, e);
}

int ranks_tell(struct ranks *r, struct err *e)
{
	char said[1][RANKS_TEXT] = { "" };

	if (r->tells)
		r->tells(said[0]);
	return ranks_agree(r, 0, said, e);
}

void ranks_close(struct ranks *r, bool failed)
{
	struct err ignored = ERR_INIT;

	if (!r)
		return;
	while (r->rank > 0 && !r->over && !r->failed && !failed) /* what was not agreed upon ends with rank 0 */
		if (ranks_next(r, &ignored) < 0)
			break;
	if (r->rank == 0 && !r->failed && ranks_order(r, RANKS_END, 0, NULL, &ignored) == 0)
		failed = false;
	r->row->close(r, r->failed || (failed && !r->over));
	mem_free(r->spare);
	r->spare = NULL;
}
