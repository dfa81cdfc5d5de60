/* turns: who of those that wait comes next, so that nobody who asks for much keeps the others from their share.
 *
 * Virtual token counters (Sheng et al. 2024, "Fairness in Serving Large Language Models"): for each client what it was
 * served is counted, a token of a prompt as 1 and one of an answer as 2, and the least served of those that wait goes
 * next. Who comes back after it asked for nothing is not owed for that time: its counter is lifted to the least of
 * those that are there, or to that of the last who went. So while two clients ask without a pause, what they were
 * served differs by no more than one request's tokens, however much one of them asks for.
 *
 * Counters are kept twice: of each client (a key), which is what is compared first, and of each adapter that it asks
 * for, which decides between its own requests. */
#ifndef INFER_TURNS_H
#define INFER_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct turns_account {
	uint64_t client;
	int adapter;                   /* −2: all that it asks for */
	double served;
	double left_at;                /* of a client: what its last adapter was served that it asked for */
	int there;                     /* requests that wait or are answered */
};

struct turns {
	struct turns_account *list;
	size_t n;
	double left_at;                /* what the last client was served that went */
};

enum { TURNS_PROMPT = 1, TURNS_ANSWER = 2 };   /* what a token counts */

void turns_release(struct turns *t);
/* A request comes, and goes. */
void turns_come(struct turns *t, uint64_t client, int adapter);
void turns_go(struct turns *t, uint64_t client, int adapter);
/* One that is there was served so much. */
void turns_serve(struct turns *t, uint64_t client, int adapter, double tokens);
/* Is the first of the two, who are there, to go before the second? */
bool turns_before(const struct turns *t, uint64_t client, int adapter, uint64_t other, int other_adapter);

#endif
