"""Looking at every existing document that a changed ontology concerns, before the transaction."""

import asyncio

from ontomesh_data_kernel.domain.revalidating import Examined, Revalidation
from ontomesh_data_kernel.ports import Point, Store

_PAGE = 1_000
_PAGE_BYTES = 32 << 20


async def examine_instances(store: Store, point: Point, revalidation: Revalidation) -> dict[str, Examined]:
    """What becomes of the documents at a point, a page at a time and off the event loop."""
    examined: dict[str, Examined] = {}
    after, more = "", bool(revalidation.classes)
    while more:
        page, more = await store.list_documents(point, revalidation.classes, after, _PAGE, _PAGE_BYTES)
        documents = [(document.id, document.body) for document in page]
        examined.update((one.id, one) for one in await asyncio.to_thread(revalidation.examine, documents))
        after = page[-1].id if page else ""
    return examined
