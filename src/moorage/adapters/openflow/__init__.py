"""OpenFlow 1.3, the dozen messages that we send, on an asyncio stream of our own."""
