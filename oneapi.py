from oneapi.app import main

main()
