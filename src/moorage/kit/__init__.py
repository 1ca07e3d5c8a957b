"""asyncio tools that know nothing of clouds."""
