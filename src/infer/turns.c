/* turns: a list of counters. One that nobody asks by any more is kept while it is above those that are there, as else
 * who asks one thing after another would be lifted down each time; of these KEPT at most, the least served go first. */
#include "infer/turns.h"

#include <math.h>

#include "base/mem.h"

enum { TURNS_CLIENT = -2, KEPT = 1024 };

void turns_release(struct turns *t)
{
	mem_free(t->list);
	*t = (struct turns){ 0 };
}

static struct turns_account *find(const struct turns *t, uint64_t client, int adapter)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->list[i].client == client && t->list[i].adapter == adapter)
			return &t->list[i];
	return NULL;
}

/* Those that an account is compared with: all clients, or what one client asks for. */
static bool is_beside(const struct turns_account *a, uint64_t client, int adapter)
{
	return adapter == TURNS_CLIENT ? a->adapter == TURNS_CLIENT : a->adapter != TURNS_CLIENT && a->client == client;
}

/* The least that those who are there were served, or the last of them. */
static double least(const struct turns *t, uint64_t client, int adapter)
{
	const struct turns_account *whole = adapter == TURNS_CLIENT ? NULL : find(t, client, TURNS_CLIENT);
	double served = INFINITY;

	for (size_t i = 0; i < t->n; i++)
		if (t->list[i].there && is_beside(&t->list[i], client, adapter))
			served = fmin(served, t->list[i].served);
	return isfinite(served) ? served : whole ? whole->left_at : t->left_at;
}

/* Accounts of nobody that say nothing more, and the least served where there are too many. */
static void forget(struct turns *t)
{
	size_t n = 0, drop = SIZE_MAX;

	for (size_t i = 0; i < t->n; i++) {
		const struct turns_account *a = &t->list[i];
		if (a->there || a->served > least(t, a->client, a->adapter))
			t->list[n++] = *a;
	}
	t->n = n;
	for (size_t i = 0; i < n; i++)
		if (!t->list[i].there && (drop == SIZE_MAX || t->list[i].served < t->list[drop].served))
			drop = i;
	if (n > KEPT && drop != SIZE_MAX)
		t->list[drop] = t->list[--t->n];
}

static void come(struct turns *t, uint64_t client, int adapter)
{
	double floor = least(t, client, adapter);
	struct turns_account *a = find(t, client, adapter);

	if (!a) {
		t->list = mem_grow(t->list, t->n + 1, sizeof(*t->list));
		a = &t->list[t->n++];
		*a = (struct turns_account){ .client = client, .adapter = adapter };
	}
	if (!a->there++)
		a->served = fmax(a->served, floor);
}

void turns_come(struct turns *t, uint64_t client, int adapter)
{
	come(t, client, TURNS_CLIENT);
	come(t, client, adapter);
}

static void go(struct turns *t, uint64_t client, int adapter)
{
	struct turns_account *a = find(t, client, adapter);

	if (!a || !a->there)
		BUG("a client goes that never came");
	a->there--;
	if (adapter == TURNS_CLIENT)
		t->left_at = a->served;
	else
		find(t, client, TURNS_CLIENT)->left_at = a->served;
}

void turns_go(struct turns *t, uint64_t client, int adapter)
{
	go(t, client, adapter);
	go(t, client, TURNS_CLIENT);
	forget(t);
}

void turns_serve(struct turns *t, uint64_t client, int adapter, double tokens)
{
	find(t, client, TURNS_CLIENT)->served += tokens;
	find(t, client, adapter)->served += tokens;
}

bool turns_before(const struct turns *t, uint64_t client, int adapter, uint64_t other, int other_adapter)
{
	if (client != other)
		return find(t, client, TURNS_CLIENT)->served < find(t, other, TURNS_CLIENT)->served;
	return adapter != other_adapter && find(t, client, adapter)->served < find(t, other, other_adapter)->served;
}
