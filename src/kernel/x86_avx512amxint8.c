/* x86_avx512amxint8: the int8 product on the tiles of AMX-INT8, from 16 rows on.
 *
 * A tile of 16 rows of activations, where they lie, times one of a panel's block, expanded once for them: 16 × 16
 * integers in one instruction of 16 cycles, where VNNI takes 128. They go through the nearest cache to what makes
 * numbers of them (int8_512.h), so the bits are VNNI's, which takes the rows that are left.
 *
 * Linux grants tiles to a process that asks (ARCH_REQ_XCOMP_PERM), for all of its threads. A compiler without
 * -mamx-int8 makes a file of nothing. */
#include "kernel/kernels.h"

#ifdef __AMX_INT8__
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/int8_512.h"
#include "kernel/tiles.h"

enum { REQUEST = 0x1023 /* ARCH_REQ_XCOMP_PERM */, TILE_DATA = 18 };
enum { ROWS = 16, HALF = PANEL_BLOCK / 2 };

static void (*few)(enum dtype t, size_t m, size_t n, size_t k, const uint8_t *a, size_t a_ld, const void *panel,
                   float *c, size_t ldc);

bool x86_amx_granted(void)
{
	return syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}

/* Tiles 0, 1: integers; 2, 3: activations; 4, 5: the panel's. Forms with halves need two of each, of half the depth. */
INLINE void begin(const size_t depth)
{
	struct tile_config c = { .palette = 1 };

	for (int i = 0; i < 6; i++) {
		c.rows[i] = (uint8_t)(i < 4 ? ROWS : depth / 4);
		c.bytes[i] = (uint16_t)(i / 2 == 1 ? depth : LINE);
	}
	tiles_begin(&c);
}

/* n[half] = the block's integers; b: its groups, a line each. */
INLINE void integers(const bool halves, const uint8_t *b, const int8_t *a, size_t a_ld, int32_t n[2][ROWS][PANEL_ROWS])
{
	_tile_loadd(4, b, LINE);
	_tile_loadd(2, a, a_ld);
	_tile_zero(0);
	_tile_dpbsud(0, 2, 4);
	_tile_stored(0, n[0], LINE);
	if (halves) {
		_tile_loadd(5, b + GROUPS / 2 * LINE, LINE);
		_tile_loadd(3, a + HALF, a_ld);
		_tile_zero(1);
		_tile_dpbsud(1, 3, 5);
		_tile_stored(1, n[1], LINE);
	}
}

INLINE void tile(const enum dtype t, __mmask16 columns, size_t blocks, const uint8_t *a, size_t a_ld,
                 const uint8_t *panel, float *c, size_t ldc)
{
	int32_t n[2][ROWS][PANEL_ROWS] __attribute__((aligned(LINE)));
	__m512i u[GROUPS];
	__m512 sum[ROWS];

	UNROLL(16)
	for (size_t i = 0; i < ROWS; i++)
		sum[i] = _mm512_setzero_ps();
	for (size_t j = 0; j < blocks; j++, a += KERNEL_Q8_BYTES) {
		const uint8_t *b = panel + panel_block_at(t, j);
		if (!panel_is_byte(t))
			expand(t, b, u);
		SETTLED();
		integers(panel_has_halves(t), panel_is_byte(t) ? b + panel_q_at(t) : (const uint8_t *)u,
		         ((const struct q8_block *)(const void *)a)->q, a_ld, n);
		SETTLED();
		struct scales w = scales_of(t, panel + panel_head_at(t, j), b);
		UNROLL(16)
		for (size_t i = 0; i < ROWS; i++)
			sum[i] = share_add(t, _mm512_load_si512(n[0][i]), _mm512_load_si512(n[1][i]), &w,
			                   (const void *)(a + i * a_ld), sum[i]);
	}
	UNROLL(16)
	for (size_t i = 0; i < ROWS; i++)
		_mm512_mask_storeu_ps(c + i * ldc, columns, sum[i]);
}

INLINE void tiles(const enum dtype t, size_t m, size_t n, size_t k, const uint8_t *a, size_t a_ld, const uint8_t *b,
                  float *c, size_t ldc)
{
	__mmask16 columns = (__mmask16)((1u << n) - 1);

	if (m >= ROWS) {
		begin(panel_has_halves(t) ? HALF : PANEL_BLOCK);
		for (; m >= ROWS; m -= ROWS, a += ROWS * a_ld, c += ROWS * ldc)
			tile(t, columns, k / PANEL_BLOCK, a, a_ld, b, c, ldc);
		_tile_release();
	}
	if (m)
		few(t, m, n, k, a, a_ld, b, c, ldc);
}

Q8_TILE(tiles)

void x86_avx512amxint8_install(struct kernels *k)
{
	few = k->q8_tile;
	k->q8_tile = q8_tile;
}
#else
bool x86_amx_granted(void)
{
	return false;
}

void x86_avx512amxint8_install(struct kernels *k)
{
	(void)k;
}
#endif
